"""What the report is made of: reading runs, what they cost, curves, phases, figures, tables and the page."""
