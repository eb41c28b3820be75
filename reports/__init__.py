"""The pages: figures, wording and HTML, drawn from a run folder alone."""
