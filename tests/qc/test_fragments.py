import numpy as np

from histome.qc.fragments import label_fragments


def test_pieces_are_numbered_by_area_and_crumbs_are_none():
    tissue = np.zeros((300, 600), bool)
    tissue[50:150, 50:150] = True  # 0.64 mm2
    tissue[50:250, 300:500] = True  # 2.56 mm2
    tissue[280:285, 20:25] = True  # 0.0016 mm2
    found = label_fragments(tissue, mpp=8.0)
    assert set(np.unique(found[50:150, 50:150])) == {2}
    assert set(np.unique(found[50:250, 300:500])) == {1}
    assert not found[280:285, 20:25].any()
    assert not found[~tissue].any()


def test_a_crack_does_not_part_a_piece():
    tissue = np.ones((100, 200), bool)
    tissue[:, 95:105] = False  # 80 um
    assert set(np.unique(label_fragments(tissue, mpp=8.0))) == {0, 1}
    tissue[:, 80:120] = False  # 320 um
    assert set(np.unique(label_fragments(tissue, mpp=8.0))) == {0, 1, 2}


def test_the_only_crumb_is_a_piece():
    tissue = np.ones((7, 7), bool)
    assert (label_fragments(tissue, mpp=8.0) == 1).all()
    assert not label_fragments(~tissue, mpp=8.0).any()
