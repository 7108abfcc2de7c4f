"""What training costs as it grows: by formula, on machines that are not here."""
