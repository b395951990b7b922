"""Adding to or removing from an atlas in a process of its own, which kills itself at a chosen moment."""

import os
import signal

os.environ["SICMIR_THREADS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import atlas_store
import small_cells

from sicmir import paths
from sicmir.atlas import add, compact, record, store

# Made once, before processes are split off: a model takes longer to train than a data set to add.
small_cells.bundle(), atlas_store.targets()


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def after(function, when=lambda *arguments: True):
    """The function, and death when it is done."""

    def wrapped(*arguments, **options):
        result = function(*arguments, **options)
        if when(*arguments):
            die()
        return result

    return wrapped


def before(function, when):
    def wrapped(*arguments, **options):
        if when(*arguments):
            die()
        return function(*arguments, **options)

    return wrapped


def run(moment, folder, options):
    place = atlas_store.home(folder)
    patches = {
        "half written": (add, "write_table", after(add.write_table, lambda _, name, path: name == "genes")),
        "before the record": (record, "write_record", before(record.write_record, lambda *_: True)),
        "record written": (record, "write_record", after(record.write_record)),
        "before old tables go": (paths, "remove", before(paths.remove, lambda path: path.parent == place)),
        "moved": (store, "commit", after(store.commit)),
        "removing": (paths, "remove", before(paths.remove, lambda path: path.name.startswith(".removed"))),
        "copying": (
            compact,
            "_sorted",
            after(compact._sorted, lambda home, found, name, place: name == "genes"),
        ),
        "copied": (paths, "remove", before(paths.remove, lambda path: path.name.startswith(".removed"))),
        "never": (add, "PART_CELLS", add.PART_CELLS),
    }
    setattr(*patches[moment])
    if moment == "removing":
        store.remove("one", folder)
    elif moment.startswith("cop"):
        compact.compact(folder)
    else:
        atlas_store.put(folder, **options)
