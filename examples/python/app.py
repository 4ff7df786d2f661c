"""Laboratory values, kept in files: a guest in Python.

Nothing here knows of an enclave. `open` and `pathlib` reach the app's own directory, `datetime` asks the clock, `secrets` and
`uuid` ask for random bytes, all through WASI.
"""

import csv
import io
import math
import re
import secrets
import statistics
import uuid
from datetime import datetime, timezone
from pathlib import Path

from componentize_py_types import Err
from wit_world import Receipt, Summary, WitWorld as World

FOLDER = Path("/laboratory")
NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
RANDOM = secrets.SystemRandom()


class WitWorld(World):
    """Each export of wit/world.wit is a method. An `Err` that is raised becomes the error of the `result`."""

    def add(self, series: str, value: float) -> Receipt:
        if not math.isfinite(value):
            raise Err(f"{value} is no value")
        receipt = Receipt(str(uuid.uuid4()), datetime.now(timezone.utc).isoformat())
        FOLDER.mkdir(exist_ok=True)
        with open(path_of(series), "a", newline="") as file:
            csv.writer(file).writerow([receipt.id, receipt.at, value])
        return receipt

    def names(self) -> list[str]:
        return sorted(path.stem for path in FOLDER.glob("*.csv"))

    def summarize(self, series: str) -> Summary:
        values = values_of(series)
        return Summary(
            count=len(values),
            lowest=min(values),
            median=statistics.median(values),
            mean=statistics.fmean(values),
            highest=max(values),
            deviation=statistics.stdev(values) if len(values) > 1 else None,
        )

    def sample(self, series: str, count: int) -> list[float]:
        values = values_of(series)
        return RANDOM.sample(values, min(count, len(values)))

    def table(self, series: str) -> str:
        return "id,at,value\n" + text_of(series)

    def forget(self, series: str) -> None:
        try:
            path_of(series).unlink()
        except OSError as error:
            raise Err(f"{series}: {error.strerror}") from error


def values_of(series: str) -> list[float]:
    return [float(value) for _, _, value in csv.reader(io.StringIO(text_of(series)))]


def text_of(series: str) -> str:
    try:
        return path_of(series).read_text().replace("\r\n", "\n")
    except OSError as error:
        raise Err(f"{series}: {error.strerror}") from error


def path_of(series: str) -> Path:
    if not NAME.fullmatch(series):
        raise Err("a series is named by 1 to 64 letters, digits and '-'")
    return FOLDER / f"{series}.csv"
