"""Run a model on windows of pixels.

ONNX Runtime where there is CUDA, else OpenVINO, else ONNX Runtime on the CPU: both backend and precision are
chosen by capability. Every network has one infer request for each calling thread and takes one window a call,
so the result of a window never depends on how many windows or threads there are.
"""

import ctypes
import hashlib
import importlib
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

import numpy as np

from histome.config import Backend, Precision
from histome.errors import ModelError
from histome.models.card import Card
from histome.models.external import external_files
from histome.models.graphs import OpenVinoRun, fold_repeats, keep_pixels_whole
from histome.models.tasks import expected_outputs, optional_outputs, value_ranges
from histome.names import shown

_log = logging.getLogger(__name__)
_CPU_INFO = Path("/proc/cpuinfo")

# Windows that a GPU holds at once: one is copied while another is computed. Other threads read and decode.
_ON_DEVICE = 2
# Rounding of a sigmoid or a softmax in bf16.
_SLACK = 1e-3

Outputs = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int | None, ...]]
Loaded = tuple[Callable[[np.ndarray], Outputs], Shapes, str]

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
# Fixed choice of convolution and no TF32: a window gives the same numbers whenever it is run.
_PROVIDER_OPTIONS = {"cuda": {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}, "cpu": {}}


class Predictor(Protocol):
    """Anything with a card that turns one window into the outputs its card's task names."""

    @property
    def card(self) -> Card:
        """The card that says what goes in and what comes out."""
        ...

    def __call__(self, image: np.ndarray, /) -> Outputs:
        """Run on one uint8 (1, h, w, 3) image; threads may call at the same time.

        Sides are the card's `window_px`, or fewer multiples of its `cut_px`.
        """
        ...


class Network:
    """A model ready to run.

    Parameters
    ----------
    card : Card
        Card loaded by `load_card` or `find_model`; its weights are checked against its sha256.
    threads : int
        How many threads will call this network at once. Each caller gets one core and one infer request; no
        thread is made beyond that. A GPU takes two of them at a time; the others read and decode meanwhile.
    backend : "auto", "openvino", "cuda" or "cpu"
        The latter two are ONNX Runtime; "auto" takes CUDA where there is a device, else OpenVINO.
    precision : "auto", "f32" or "bf16"
        Of OpenVINO's inner arithmetic; "auto" takes bf16 where the CPU reports it, else f32. ONNX Runtime is
        always f32.

    Raises
    ------
    ModelError
        Weights missing, changed, not ONNX, partly in files that the card does not list, or without the input
        and outputs of the card's task.
    """

    def __init__(
        self, card: Card, *, threads: int = 1, backend: Backend = "auto", precision: Precision = "auto"
    ) -> None:
        self.card = card
        self.threads = max(1, threads)
        step = card.cut_px or card.window_px
        self._sides = set(range(step, card.window_px + 1, step))
        with _checked(card) as model:
            self.backend, loaded = _load(card, model, backend, self.threads, precision)
        self._run, shapes, self.precision = loaded
        check_outputs(card, shapes)

    def __call__(self, image: np.ndarray, /) -> Outputs:
        """Run on one window.

        Parameters
        ----------
        image : (1, h, w, 3) uint8
            RGB at the card's mpp; h and w are `window_px`, or fewer multiples of `cut_px`.

        Returns
        -------
        dict of float32
            By output name, as `models.tasks` says for the card's task: (1, channels, h/stride, w/stride), or
            (1, channels, h, w) where it is of full size.
        """
        window, sides = self.card.window_px, image.shape[1:3]
        if image.shape != (1, *sides, 3) or not set(sides) <= self._sides or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 (1, {window}, {window}, 3), got {image.dtype} {image.shape}")
        return self._run(np.ascontiguousarray(image))

    def describe(self) -> dict[str, str]:
        """Return what run.json keeps of a network: name, version, sha256, backend, precision."""
        card = self.card
        running = {"backend": self.backend, "precision": self.precision}
        return {"name": card.name, "version": card.version, "sha256": card.sha256, **running}


def checked_outputs(network: Predictor, image: np.ndarray) -> Outputs:
    """Run a model on one window; raises ModelError for what is no number or beyond its task's range.

    Else such a window would be all of the first class, or without a nucleus, and nobody would be told.
    """
    return checked_values(network.card, network(image))


def checked_values(card: Card, outputs: Outputs) -> Outputs:
    """Return the outputs of one window; raises ModelError as `checked_outputs` does."""
    ranges = value_ranges(card)
    for name, array in outputs.items():
        least, most = float(array.min()), float(array.max())
        low, high = ranges.get(name, (-np.inf, np.inf))
        if not (np.isfinite(least) and np.isfinite(most)):
            raise ModelError(f"{card.name}: output {name!r} holds values that are not finite")
        if least < low - _SLACK or most > high + _SLACK:
            raise ModelError(
                f"{card.name}: output {name!r} runs from {least:g} to {most:g}; {low:g} to {high:g}"
            )
    return outputs


def check_outputs(card: Card, shapes: Shapes) -> None:
    """Refuse a model whose outputs are not those of its card's task; None in a shape is an unknown length."""
    optional = optional_outputs(card)
    wanted_shapes = expected_outputs(card) | (optional if shapes.keys() & optional.keys() else {})
    for name, wanted in wanted_shapes.items():
        got = shapes.get(name)
        if got is None:
            raise ModelError(f"{card.weights_path}: no output {name!r} (a {card.task} model has it)")
        if len(got) != len(wanted) or any(g not in (None, w) for g, w in zip(got, wanted, strict=True)):
            raise ModelError(f"{card.weights_path}: output {name!r} is {got}, its card says {wanted}")


def read_weights(card: Card) -> bytes:
    """Return the bytes of the ONNX file, checked against the card's sha256.

    Raises ModelError where it is not the file of the card, or keeps weights in files that the card does not
    list.
    """
    path = card.weights_path
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: weights must be an .onnx file (never pickle); export the model to ONNX")
    try:
        model = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: weights cannot be read ({error.strerror})") from error
    # ONNX begins with its ir_version: protobuf field 1, a varint. Pickles begin with 0x80, torch files PK.
    if model[:1] != b"\x08":
        raise ModelError(f"{path}: not an ONNX file; export the model to ONNX")
    digest = hashlib.sha256(model).hexdigest()
    if digest != card.sha256:
        raise ModelError(f"{path}: sha256 {digest[:12]} is not its card's {card.sha256[:12]}; get it again")
    _refuse_unlisted(card, model)
    return model


def _refuse_unlisted(card: Card, model: bytes) -> None:
    try:
        unlisted = sorted(external_files(model) - card.external.keys())
    except ValueError as error:
        raise ModelError(f"{card.weights_path}: not a whole ONNX file; export the model to ONNX") from error
    if unlisted:
        raise ModelError(
            f"{card.weights_path}: keeps weights in {shown(unlisted[0]) or 'another file'}; export it to one "
            "file, or list that file with its sha256 under [external] in the card"
        )


@contextmanager
def _checked(card: Card) -> Iterator[bytes | Path]:
    """Give the weights as backends may load them: what was checked is what is run.

    They get one file's bytes from memory, and several files in a folder that is ours: no file that was
    changed in between is read, and none beside the model or in the current folder.
    """
    model = read_weights(card)
    if not card.external:
        yield model
        return
    with TemporaryDirectory(prefix="histome-", ignore_cleanup_errors=True) as name:
        copy = card.at(Path(name))
        for file, sha256 in card.external.items():
            _copy_checked(card.weights_path.with_name(file), copy.weights_path.with_name(file), sha256)
        copy.weights_path.write_bytes(model)
        yield copy.weights_path


def _copy_checked(path: Path, copy: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            while block := source.read(1 << 20):
                digest.update(block)
                target.write(block)
    except OSError as error:
        raise ModelError(f"{path}: weights cannot be read ({error.strerror})") from error
    if digest.hexdigest() != sha256:
        raise ModelError(
            f"{path}: sha256 {digest.hexdigest()[:12]} is not its card's {sha256[:12]}; get it again"
        )


def weights_sha256(path: Path) -> str:
    """Return the checksum that a card names (for the training scripts in runs/)."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def choose_backend() -> Literal["openvino", "cuda", "cpu"]:
    """Return `cuda` where ONNX Runtime sees a CUDA device, else `openvino`, else `cpu`."""
    if cuda_visible():
        return "cuda"
    return "openvino" if importlib.util.find_spec("openvino") else "cpu"


def resolve(backend: Backend, precision: Precision) -> tuple[str, str]:
    """Return the backend and precision that `auto` stands for on this machine."""
    chosen = choose_backend() if backend == "auto" else backend
    if chosen != "openvino":
        return chosen, "f32"
    return chosen, openvino_precision() if precision == "auto" else precision


def cuda_visible() -> bool:
    """Whether the driver counts at least one device and this ONNX Runtime has CUDA."""
    try:  # first: where there is no driver, ONNX Runtime's 0.2 s of loading are saved
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import onnxruntime

    if _PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _load(
    card: Card, model: bytes | Path, backend: Backend, threads: int, precision: Precision
) -> tuple[str, Loaded]:
    """Load with the backend asked for; `auto` goes on without CUDA where it is seen but cannot start."""
    chosen = choose_backend() if backend == "auto" else backend
    if chosen == "openvino":
        return chosen, _openvino(card, model, threads, precision)
    try:
        return chosen, _onnxruntime(card, model, chosen)
    except ModelError as error:
        if (backend, chosen) != ("auto", "cuda"):
            raise
        _log.warning("%s; running on the CPU", error)
        return "openvino", _openvino(card, model, threads, precision)


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    Left alone, importing it tells Google Analytics so, from a thread that forks the process. Without the
    package `openvino_telemetry` it does nothing of the kind, so that package is hidden from it.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
    return importlib.import_module("openvino")


def openvino_precision() -> Literal["f32", "bf16"]:
    """Return `bf16` where this CPU computes in it, else `f32`.

    Mpx per CPU-second, bf16 against f32: 5.6 against 1.26 with AMX; 1.9 against 1.0 on an AMD EPYC with
    avx512_bf16 only, which reports BF16 too (U-Nets of 4.4 M parameters). Forced where the CPU does not
    report it, bf16 is 4-5x slower than f32.
    """
    try:  # not by OpenVINO: a finished profile's key holds the precision, and is known without loading it
        words = set(_CPU_INFO.read_text().split())
    except OSError:  # no Linux
        words = {
            name.lower() for name in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        }
    return "bf16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else "f32"


def _openvino(card: Card, model: bytes | Path, threads: int, precision: Precision) -> Loaded:
    openvino = import_openvino()
    precision = openvino_precision() if precision == "auto" else precision
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        # One stream of one thread a caller. No pinning: two processes would pin themselves to the same cores.
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    core = openvino.Core()
    try:
        graph = core.read_model(model)
        _check_input(card, [(port.any_name, port.element_type.get_type_name()) for port in graph.inputs])
        side = card.window_px
        graph.reshape({"image": [1, side, side, 3]})
        shapes = {port.any_name: tuple(port.shape) for port in graph.outputs}
        if precision == "bf16":  # in f32 a network stays what its file says, to compare others with
            fold_repeats(graph)
        by_pixels = keep_pixels_whole(graph)
        if card.cut_px:
            sides = openvino.Dimension(card.cut_px, side)
            graph.reshape({"image": [1, sides, sides, 3]})
            settings["CPU_RUNTIME_CACHE_CAPACITY"] = 0  # what is kept for each size saves no time
        compiled = core.compile_model(graph, "CPU", settings)
    except RuntimeError as error:
        raise ModelError(f"{card.weights_path}: OpenVINO cannot load it ({_one_line(error)})") from error
    # Its tables of types are made when data are first asked for; two threads that ask at once wait for each
    # other for ever (one has the table's lock, one Python's). So this thread asks before there are others.
    _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return OpenVinoRun(compiled, tuple(shapes), by_pixels), shapes, precision


def _onnxruntime(card: Card, model: bytes | Path, backend: Literal["cuda", "cpu"]) -> Loaded:
    import onnxruntime

    if backend == "cuda" and not cuda_visible():
        raise ModelError(f"{card.name}: ONNX Runtime sees no CUDA device here")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = [(_PROVIDERS[backend], _PROVIDER_OPTIONS[backend])]
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except _onnxruntime_errors() as error:
        raise ModelError(f"{card.weights_path}: ONNX Runtime cannot load it ({_one_line(error)})") from error
    if _PROVIDERS[backend] not in session.get_providers():  # it falls back to the CPU without an error
        raise ModelError(f"{card.name}: ONNX Runtime cannot start CUDA (is cuDNN installed?)")
    inputs = [(str(port.name), str(port.type)) for port in session.get_inputs()]
    _check_input(card, [(name, {"tensor(uint8)": "u8"}.get(kind, kind)) for name, kind in inputs])
    ports = session.get_outputs()
    shapes = {str(o.name): tuple(n if isinstance(n, int) else None for n in o.shape) for o in ports}
    gate = threading.BoundedSemaphore(_ON_DEVICE) if backend == "cuda" else nullcontext()
    return partial(_run_whole, (session, gate), list(shapes), card.window_px), shapes, "f32"


def _run_whole(
    device: tuple[Any, AbstractContextManager[Any]], names: list[str], window: int, image: np.ndarray
) -> Outputs:
    """Run a session of one static shape behind its gate; a window that was cut is filled up with white."""
    session, gate = device
    _, height, width, _ = image.shape
    beyond = (0, 0), (0, window - height), (0, window - width), (0, 0)
    whole = np.pad(image, beyond, constant_values=255)
    with gate:
        arrays = session.run(names, {"image": whole})
    parts = (a[..., : height * a.shape[2] // window, : width * a.shape[3] // window] for a in arrays)
    return dict(zip(names, map(np.ascontiguousarray, parts), strict=True))


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime raises bare `Exception` subclasses of its own, one for each status code."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    codes = "Fail InvalidArgument InvalidGraph InvalidProtobuf NoModel NotImplemented RuntimeException"
    return (RuntimeError, ValueError, *(getattr(state, code) for code in codes.split()))


def _check_input(card: Card, inputs: list[tuple[str, str]]) -> None:
    if inputs != [("image", "u8")]:
        raise ModelError(f"{card.weights_path}: its input must be uint8 (1, H, W, 3) named 'image'")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
