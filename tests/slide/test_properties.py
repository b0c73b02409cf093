from histome.slide.properties import MAX_LENGTH, allowed

RAW = {
    "openslide.vendor": "aperio",
    "openslide.objective-power": "20",
    "aperio.User": "b414003d",
    "aperio.Date": "12/29/09",
    "aperio.Filename": "Smith_John",
    "tiff.ImageDescription": "patient Smith",
    "dicom.PatientName": "Smith^John",
    "openslide.barcode": "S09-1234",
    "openslide.associated.label.width": "387",
}


def test_only_listed_properties_leave_the_file() -> None:
    assert allowed(RAW) == {"objective-power": "20", "vendor": "aperio"}


def test_values_are_short_and_printable() -> None:
    assert allowed({"tiff.Model": "a\x1b[31m\nb" + "c" * 500}) == {
        "scanner": ("a[31mb" + "c" * 500)[:MAX_LENGTH]
    }
    assert allowed({"tiff.Model": "\x00 \n"}) == {}
