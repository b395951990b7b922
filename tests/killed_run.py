"""A run of predict_file in a process of its own, which a test kills."""

import os


def run(path, out, model, options):
    os.environ["TQDM_DISABLE"] = "1"
    from sicmir.streaming import predict_file

    predict_file(path, out, model, **options)
