"""`report`: one HTML page, figures and tables of one or more runs."""
