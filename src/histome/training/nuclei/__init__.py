"""The nuclei network: targets, losses, training, calibration."""
