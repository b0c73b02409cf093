from histome.slide.broken import BrokenTiles
from histome.slide.tiles import Box


def test_a_tile_counts_once_and_boxes_are_in_order() -> None:
    broken = BrokenTiles()
    assert (len(broken), broken.boxes, broken.reasons) == (0, (), ())
    broken.add(1, Box(0, 0, 8, 8), "late")
    broken.add(0, Box(4, 4, 8, 8), "cut")
    broken.add(0, Box(4, 0, 8, 4), "cut")
    broken.add(0, Box(4, 4, 8, 8), "again")
    assert len(broken) == 3
    assert broken.boxes == (Box(4, 0, 8, 4), Box(4, 4, 8, 8), Box(0, 0, 8, 8))
    assert broken.reasons == ("cut", "late")
