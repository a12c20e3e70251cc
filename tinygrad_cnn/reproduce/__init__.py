"""The experiments of the documents on real data, each a file of this package.

Such a file is named in `EXPERIMENTS` and has

    TITLE       one line
    PARTS       the work, in parts that are kept one by one (`experiment.Part`)
    tables      from the results of the parts to tables
    pictures    from the results of the parts to pictures

Results are plain values: tables and pictures are made again from what lies on the disk.
"""

EXPERIMENTS = {
    "day2": "day2",
    "day3": "day3",
    "numpy-cnn": "numpy_cnn",
    "patches": "patches",
    "lenet": "lenet",
    "rnn": "rnn",
    "cifar": "cifar",
}
"""From the name of an experiment to its module, in the order in which they are run."""
