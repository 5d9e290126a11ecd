"""Papers' experiments as grids of ordinary run folders: trained, resumed or skipped, then tabled beside the paper."""

# name -> (module:attribute of a `Study`, what it is)
STUDIES = {
    "sagui": ("goodpath.reproduce.sagui:STUDY", "the arenas and rows of SaGui (arXiv 2307.14316)"),
    "scopil": ("goodpath.reproduce.scopil:STUDY", "the settings and methods of SCOPIL (arXiv 2507.06780)"),
    "sim": ("goodpath.reproduce.sim:STUDY", "the tables of SIM (arXiv 2312.10385)"),
}
