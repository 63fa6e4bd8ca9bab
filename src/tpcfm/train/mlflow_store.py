"""The MLflow store of a results folder: made once, by one process, and the command that shows it. Imports no torch."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tpcfm.errors import MachineError
from tpcfm.train.lock import StateLock

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def folder_of(results: Path) -> Path:
    """Folder of the store: ``mlflow.db`` and ``artifacts/``."""
    return results / "mlflow"


def database(results: Path) -> Path:
    """The SQLite file of the store."""
    return folder_of(results) / "mlflow.db"


def store_uri(results: Path) -> str:
    """MLflow's name for the store."""
    return f"sqlite:///{database(results).absolute()}"


def writing(results: Path) -> StateLock:
    """The lock of the store's one writer."""
    return StateLock(folder_of(results))


def load_mlflow() -> Any:
    """Import mlflow (many seconds), without telemetry and without its chatter.

    Raises:
        MachineError: it is not installed.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        import mlflow
    except ImportError as error:
        raise MachineError("mlflow is not installed here; install it with: pip install 'tpcfm[workflow]'") from error
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


@contextmanager
def tracking(mlflow: Any, uri: str) -> Iterator[None]:
    """Point MLflow's global functions at a store; what was set before (mlflow keeps it in the environment, too) is set again."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if before is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


@contextmanager
def said_plainly(store: str) -> Iterator[None]:
    """Turn what the store's layers raise into one line that names the store and what to do.

    Raises:
        MachineError: held by another program, damaged, or of a newer MLflow.
    """
    load_mlflow()
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, CommandError, MlflowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        if "locked" in str(error):
            todo = "another program holds it; end that program, or try again later"
        elif "locate revision" in str(error) or "out-of-date database schema" in str(error):
            todo = "it has another schema than this MLflow knows: use the MLflow that wrote it, or move it aside"
        else:
            todo = "move it aside if it is damaged; `tpcfm mlflow sync` fills a new one from the run folders"
        raise MachineError(f"{store}: the MLflow store cannot be used ({reason}); {todo}") from error


def initialise(results: Path) -> bool:
    """Create the database, or bring it to this MLflow's schema; nothing else ever migrates it.

    Many clients that meet a fresh file at once would all migrate it and leave it broken, so it is made under another
    name by the one holder of the lock and appears complete.

    Returns:
        Whether it was created.

    Raises:
        MachineError: mlflow is missing, another writer is at work, the store is locked, damaged or newer, or the folder
            cannot be written.
    """
    with writing(results), said_plainly(str(database(results))):
        return _initialise(results)


def _initialise(results: Path) -> bool:
    load_mlflow()
    import mlflow.store.db.utils as utils

    final = database(results)
    fresh = final.with_name("mlflow.db.new")
    created = not final.is_file()
    if created:
        fresh.unlink(missing_ok=True)
    else:  # migrate a copy: a failed migration leaves the store as it was
        shutil.copy2(final, fresh)
    try:
        engine = utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{fresh.absolute()}")
        if utils._is_empty_database(engine):
            utils._initialize_tables(engine)
        else:
            utils._upgrade_db(engine)
        engine.dispose()
        os.replace(fresh, final)
    except OSError as error:
        raise MachineError(f"{final}: cannot make the store: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return created


def ui_command(results: Path, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """Return the exact command that shows the store in a browser."""
    where = ["--backend-store-uri", store_uri(results), "--host", host, "--port", str(port)]
    return ["mlflow", "ui", *where, "--workers", "1"]
