"""Three-stage curriculum (arXiv:2606.17702, section 4): human labels, then two rounds of pseudo-labels.

Each stage starts from the encoder's start weights; only labels pass on. The published mean IoU fell from
stage to stage, each on labels of its own making; so here each is scored on one human-labeled held-out set,
and one that does not beat the best before it there is not promoted: it labels nothing and is not exported.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from histome.datasets.declared import declaration_of
from histome.datasets.fields import Field
from histome.datasets.splits import Split
from histome.errors import DataError
from histome.models.card import CARD_NAME, load_card
from histome.store.disk import writing
from histome.training.checkpoint import read_state, told_damaged, write, write_text
from histome.training.processes import Worker, start, wait
from histome.training.progress import say_now
from histome.training.uperhover.build import make_network
from histome.training.uperhover.config import CurriculumConfig, StageConfig
from histome.training.uperhover.export import export_hover, support_of
from histome.training.uperhover.network import UperHoVer
from histome.training.uperhover.patches import patch_of
from histome.training.uperhover.prepare import LABELS, SETTINGS, prepare, settings_text
from histome.training.uperhover.pseudo import Piece, Teacher, label_pieces
from histome.training.uperhover.result import MAPS, REMEDY, RESULT, StageResult, read_maps, read_result
from histome.training.uperhover.scores import (
    Cuts,
    FieldOutputs,
    HoverScore,
    choose_cuts,
    decode_outputs,
    miou_gain,
    predict_fields,
    scale_figures,
    score,
    sources_of,
    summary,
)
from histome.training.uperhover.train import HoverRecipe, fit, predict


@dataclass(frozen=True)
class Curriculum:
    """The settings, the fields and the worker that all stages share."""

    config: CurriculumConfig
    out: Path
    fields: Split
    worker: Worker

    def folder(self, stage: int) -> Path:
        """Folder of a stage, counted from 1."""
        return self.out / f"stage{stage}"

    def network(self, stage: int) -> UperHoVer:
        """The finished network of a stage."""
        net = make_network(self.config)
        path = self.folder(stage) / "network.pt"
        with told_damaged(path, REMEDY):
            net.load_state_dict(read_state(path, remedy=REMEDY))
        return net.to(self.worker.device).eval()


def run_curriculum(config: CurriculumConfig, out: Path) -> list[StageResult]:
    """Run all stages that are not finished in `out`; start it again to resume.

    Under torchrun the processes share the work; the first one scores and writes. Raises what `prepare` does,
    before the training; DataError where the teacher sees no nucleus (what is finished is exported then), or
    most of a stage's images went bad; OutputError where the disk is full.
    """
    worker = start(config.training.timeout_s)
    fields, pools, left_out = prepare(config, out, worker)
    work = Curriculum(config, out, fields, worker)
    wait(worker)  # all have looked at the folder
    if worker.rank == 0 and left_out:
        say_now(f"warning: {left_out}")
    with writing(out):
        return _run(work, pools)


def _run(work: Curriculum, pools: Sequence[Sequence[Piece]]) -> list[StageResult]:
    config, out, fields = work.config, work.out, work.fields
    if work.worker.rank == 0:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / SETTINGS, settings_text(config))
    results: list[StageResult] = []
    for number, stage in enumerate(config.stages, start=1):
        path = work.folder(number) / RESULT
        if not path.exists():
            patches, filtered = _patches(work, stage, results, pools[number - 1])
            if filtered and not filtered["kept"]:
                _end_early(work, results, filtered["total"])
            recipe = config.recipe(stage)
            validation = [patch_of(f, recipe.mpp) for f in fields.tuning]
            net = fit(make_network(config), recipe, patches, validation, work.folder(number))
            if work.worker.rank == 0:
                write(work.folder(number) / "network.pt", net.state_dict())
                result = _judge(work, net, results, {"filter": filtered, "patches": len(patches)})
                write_text(path, json.dumps(asdict(result), indent=1))
            wait(work.worker)
        results.append(read_result(path))
    if work.worker.rank == 0:
        _export(work, results)
    return results


def _end_early(work: Curriculum, results: Sequence[StageResult], labeled: int) -> NoReturn:
    """Export what is finished and raise DataError: there is no label to learn the next stage from.

    The first process speaks; another one ends as silently as it can, with the same exit code.
    """
    best = best_stage(results)
    if work.worker.rank == 0:
        _export(work, results)
    wait(work.worker)
    if work.worker.rank:
        raise SystemExit(DataError.exit_code)
    raise DataError(
        f"{work.out}: stage {len(results) + 1} has nothing to learn from, for stage {best.stage} sees no "
        f"nucleus in {labeled:,} patches; {work.out / 'model'} is stage {best.stage}; give more steps and "
        "another folder"
    )


def best_stage(results: Sequence[StageResult]) -> StageResult:
    """The last promoted stage."""
    return next(result for result in reversed(results) if result.promoted)


def _patches(work: Curriculum, stage: StageConfig, results: Sequence[StageResult], pool: Sequence[Piece]):
    """What a stage learns from, and what the entropy filter did."""
    config = work.config
    if not results:
        return [patch_of(f, config.training.mpp) for f in work.fields.train], None
    best = best_stage(results)
    net, cuts = work.network(best.stage), Cuts(**best.cuts)
    folder = work.folder(len(results) + 1) / LABELS
    return label_pieces(pool, make_teacher(net, config, cuts), stage, folder, work.worker)


def make_teacher(net: UperHoVer, config: CurriculumConfig, cuts: Cuts) -> Teacher:
    """A trained network as a teacher: an image and its mpp -> blended probabilities, decoded instances."""
    trained_mpp = config.training.mpp

    def teach(image: NDArray[np.uint8], mpp: float) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        out = FieldOutputs(*predict(net, image, config.training.crop_px))
        # HV maps fall over pixels, whatever their size; the smallest nucleus is one of um2.
        smallest = cuts.min_area_um2 * (trained_mpp / mpp) ** 2
        return out.classes, decode_outputs(out, trained_mpp, cuts._replace(min_area_um2=smallest)).labels

    return teach


def _judge(
    work: Curriculum, net: UperHoVer, results: Sequence[StageResult], patches: dict[str, Any]
) -> StageResult:
    """Score a stage on the held-out fields and compare it with the ones before."""
    number = len(results) + 1
    recipe = work.config.recipe(work.config.stages[number - 1])
    net = net.to(work.worker.device)
    tuning = work.fields.tuning
    cuts = choose_cuts(predict_fields(net, tuning, recipe), tuning, recipe.mpp)
    scores = score_held_out(net, work.fields.held_out, recipe, cuts)
    _keep_maps(work.folder(number), scores)
    gain = agreement = None
    if results:
        best = best_stage(results)
        before = list(read_maps(work.folder(best.stage))["pixels"])
        gain = miou_gain(before, scores, np.random.default_rng(0))
        last = read_maps(work.folder(number - 1))
        same = [(s.found_map == last[f"map{k}"]).ravel() for k, s in enumerate(scores)]
        agreement = round(float(np.concatenate(same).mean()), 4)
    return StageResult(
        stage=number,
        steps=recipe.steps,
        teacher=best_stage(results).stage if results else None,
        cuts=cuts._asdict(),
        scores=summary(scores, np.random.default_rng(0)) | _at_scales(work, net, recipe),
        gain=gain,
        agreement=agreement,
        promoted=gain is None or gain["value"] > 0,
        **patches,
    )


def _at_scales(work: Curriculum, net: UperHoVer, recipe: HoverRecipe) -> dict[str, Any]:
    """Pixel figures of the held-out fields at other scales, the labels brought there too."""
    rng, fields = np.random.default_rng(0), work.fields.held_out
    return {
        f"pixels at {mpp:g} um/px": {
            name: e.as_dict() for name, e in scale_figures(net, fields, recipe, mpp, rng).items()
        }
        for mpp in work.config.training.scored_mpps
    }


def _export(work: Curriculum, results: Sequence[StageResult]) -> None:
    """Write the best of the finished stages as a model into `model/`, unless it is there with as many."""
    config, folder, best = work.config, work.out / "model", best_stage(results)
    finished = f"{len(results)} of {len(config.stages)}"
    if (folder / CARD_NAME).exists() and load_card(folder).training.get("stages", finished) == finished:
        return
    names = [labeled.data_set for labeled in config.labeled]
    about = {
        "name": "uperhover",
        "description": f"UperHoVer, stage {best.stage} of a curriculum on {', '.join(names)}",
        "license": "that of the data it learned from; research use only",
        "training_data": [
            {"name": name, "license": declaration_of(name).license or "see its publication"} for name in names
        ],
        "scores": {
            "held_out": best.scores,
            "interval": "95 % percentile bootstrap over sources, fields where a set has fewer than five",
        },
        "training": {
            "stage": best.stage,
            "stages": finished,
            "steps": best.steps,
            "labels": support_of(work.fields.train),
        },
        "limits": ["classes are PanNuke's six: inflammatory counts as lymphocyte, connective as fibroblast"],
    }
    recipe = config.recipe(config.stages[best.stage - 1])
    export_hover(work.network(best.stage), recipe, folder, cuts=Cuts(**best.cuts), about=about)


def score_held_out(
    net: UperHoVer, fields: Sequence[Field], recipe: HoverRecipe, cuts: Cuts
) -> list[HoverScore]:
    """Score each held-out field."""
    outputs = predict_fields(net, fields, recipe)
    return [score(s, f, recipe.mpp, cuts) for s, f in zip(outputs, fields, strict=True)]


def _keep_maps(folder: Path, scores: Sequence[HoverScore]) -> None:
    maps: dict[str, Any] = {f"map{k}": s.found_map for k, s in enumerate(scores)}
    typed = [s for s in scores if s.pixels is not None]
    pixels = np.stack([s.pixels for s in typed if s.pixels is not None])
    np.savez_compressed(folder / MAPS, pixels=pixels, sources=np.array(sources_of(typed)), **maps)


def table(results: Sequence[StageResult]) -> str:
    """Markdown: a row a figure with its n, a column a stage, 95 % intervals."""
    names = sorted(results[0].scores.keys() - {"pixels"})
    columns = [("pixels", f) for f in results[0].scores["pixels"]]
    for name in names:
        columns += [(name, f) for f in ("miou", "pq", "aji", "detection_f1") if f in results[0].scores[name]]
    head = ["figure", "n", *(f"stage {r.stage}" for r in results)]
    rows = [["labels", "", *("human" if r.teacher is None else f"of stage {r.teacher}" for r in results)]]
    rows += [["patches", "", *(_patches_cell(r) for r in results)]]
    for name, figure in columns:
        cells = [_cell(r.scores.get(name, {}).get(figure)) for r in results]
        n = results[0].scores[name][figure]["units"]
        rows.append([f"{figure} ({name})" if name != "pixels" else figure, str(n), *cells])
    rows.append(["promoted", "", *("yes" if r.promoted else "no" for r in results)])
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _patches_cell(result: StageResult) -> str:
    if result.filter is None:
        return f"{result.patches} fields"
    return f"{result.filter['kept']} kept of {result.filter['total']}"


def _cell(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
