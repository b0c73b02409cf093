"""What the doctor says of this machine."""

from histome.checks import examine
from histome.config import RuntimeConfig
from histome.models.registry import list_models, open_model


def test_a_whole_installation_is_fine_and_says_what_each_model_would_run_with() -> None:
    findings = {finding.name: finding for finding in examine()}
    assert [name for name, finding in findings.items() if not finding.fine] == []
    for card in list_models():
        network = open_model(card, RuntimeConfig())
        assert f"runs here by {network.backend} {network.precision}" in findings[f"model {card.name}"].text
