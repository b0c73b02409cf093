"""UperHoVer and its curriculum."""
