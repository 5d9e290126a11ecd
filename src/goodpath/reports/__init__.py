"""Statistics of evaluation episodes, figures, and the one-page report on finished runs."""
