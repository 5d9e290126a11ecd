"""Data sets on disk: the DSRL file layout, the table of DSRL tasks, downloads."""
