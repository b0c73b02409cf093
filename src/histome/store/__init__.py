"""A profile on disk: its files, the runner that writes them, the profile that reads them."""
