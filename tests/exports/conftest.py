"""A profile on disk, made once."""

import pytest
from helpers.kept_profiles import keep_profile


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    return keep_profile(tmp_path_factory.mktemp("exports") / "drawn")
