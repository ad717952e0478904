"""A scraper of one timeline. Run it with `python -m scraper --source "main feed"`."""
