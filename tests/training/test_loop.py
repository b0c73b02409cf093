"""The loop and the checkpoint that all trainings share."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from histome.errors import UsageError
from histome.training import checkpoint
from histome.training.loop import Trainer, batches, run

pytestmark = pytest.mark.slow


class Numbers:
    """Draws the numbers that a batch's generator gives."""

    def batch(self, rng):
        return float(rng.random())


class Slope(Trainer):
    """One weight that moves against the batch's number."""

    def __init__(self, folder, **options):
        net = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(net.weight)
        super().__init__(net, torch.optim.SGD(net.parameters(), lr=0.1), folder, **options)

    def update(self, batch):
        self.optimizer.zero_grad()
        loss = self.net.weight.sum() * batch
        loss.backward()
        self.descend()
        return {"loss": loss.item()}


def weight(trainer):
    return trainer.net.weight.item()


def test_a_run_cut_in_two_equals_one_run(tmp_path):
    whole, first = Slope(tmp_path / "whole", ema=0.9), Slope(tmp_path / "cut", ema=0.9)
    run(whole, batches(Numbers(), 0, 6, 1), 6, every=6)
    run(first, batches(Numbers(), 0, 3, 1), 3, every=3)
    second = Slope(tmp_path / "cut", ema=0.9)
    assert (second.resumed, second.step) == (True, 3)
    run(second, batches(Numbers(), second.step, 6, 1), 6, every=6)
    assert weight(second) == weight(whole)
    assert second.averaged.weight.item() == whole.averaged.weight.item()


def test_a_batch_depends_on_seed_number_and_rank_alone():
    later = list(batches(Numbers(), 2, 4, 7))
    assert list(batches(Numbers(), 0, 4, 7))[2:] == later
    assert list(batches(Numbers(), 2, 4, 7, 1)) != later


def test_a_row_holds_the_mean_losses_since_the_last_one(tmp_path):
    log = tmp_path / "log.csv"
    run(Slope(tmp_path), [1.0] * 3, 3, every=2, evaluate=lambda: {"score": 0.5}, log=log)
    head, *rows = (line.split(",") for line in log.read_text().splitlines())
    assert head == ["step", "seconds", "loss", "score"]
    # The weight falls by 0.1 a step: losses 0, -0.1, -0.2.
    assert [(row[0], float(row[2])) for row in rows] == [("2", -0.05), ("3", -0.2)]


def test_a_run_that_was_killed_between_row_and_checkpoint_has_each_step_once(tmp_path, monkeypatch):
    log = tmp_path / "log.csv"
    first = Slope(tmp_path)
    run(first, [1.0] * 2, 6, every=2, log=log)

    def killed() -> None:
        raise InterruptedError

    monkeypatch.setattr(first, "save", killed)
    with pytest.raises(InterruptedError):
        run(first, [1.0] * 2, 6, every=2, log=log)
    with log.open("a") as file:
        file.write("6,0,-0.")  # and cut off
    second = Slope(tmp_path)
    assert second.step == 2
    run(second, [1.0] * 4, 6, every=2, log=log)
    head, *rows = log.read_text().splitlines()
    assert head == "step,seconds,loss"
    assert [row.split(",")[0] for row in rows] == ["2", "4", "6"]
    assert float(rows[-1].split(",")[2]) == -0.45


def test_it_is_saved_between_the_rows(tmp_path):
    run(Slope(tmp_path), [1.0] * 5, 10, every=10, save_every=2)
    assert Slope(tmp_path).step == 4


def test_gradients_are_clipped_and_groups_have_their_factor(tmp_path):
    trainer = Slope(tmp_path)
    trainer.optimizer.param_groups[0]["factor"] = 0.5
    trainer.set_rate(1.0)
    trainer.update(1000.0)
    assert weight(trainer) == pytest.approx(-0.5 * Trainer.clip_norm)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    Slope(tmp_path, settings={"seed": 1}).save()
    with pytest.raises(UsageError, match="another recipe or other data"):
        Slope(tmp_path, settings={"seed": 2})


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"PK\x03\x04 cut short", {"net": {}}, {"net": 1, "optimizer": 2}, [1], {}]
)
def test_a_checkpoint_that_is_damaged_is_named(tmp_path, content):
    """Bytes, no state, a state without a part or with another's."""
    path = tmp_path / "checkpoint.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(
        UsageError, match=r"checkpoint\.pt: cannot be read \(.*remove it to begin anew"
    ) as caught:
        Slope(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"checkpoint\.pt: cannot be read \(.*remove it to begin anew"):
        checkpoint.load_average(tmp_path)


def test_lost_weights_are_not_saved(tmp_path):
    """The gradient is no number, the loss before it is."""
    trainer = Slope(tmp_path)
    trainer.set_rate(1e38)
    with pytest.raises(
        UsageError, match="weight is no number, or too large, after step 1; take a smaller learning rate"
    ):
        run(trainer, [1e3], 1, every=1)
    assert not trainer.path.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_is_an_error_of_the_disk(tmp_path):
    """torch itself raises RuntimeError, which reads as a fault of histome's."""
    (tmp_path / "checkpoint.tmp").symlink_to("/dev/full")
    trainer = Slope(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        trainer.save()


def test_an_averaged_network_is_read_back_by_its_own_names(tmp_path):
    net = torch.nn.Linear(2, 1)
    checkpoint.write_average(net, tmp_path)
    found = checkpoint.load_average(tmp_path)
    assert found.keys() == net.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in net.state_dict().items())
    assert np.array_equal(sorted(path.name for path in tmp_path.iterdir()), ["checkpoint.pt"])
