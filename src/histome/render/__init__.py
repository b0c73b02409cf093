"""What report, viewer and exports draw alike."""
