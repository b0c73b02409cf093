"""How large? Areas of the scan, of quality, tissues and zones."""
