"""The experiments of the documents on real data, each a file of this package.

Such a file is named in `EXPERIMENTS` and has

    TITLE       one line
    PARTS       the work, in parts that are kept one by one (`experiment.Part`)
    tables      from the results of the parts to tables
    pictures    from the results of the parts to pictures

Results are plain values: tables and pictures are made again from what lies on the disk.
"""

EXPERIMENTS = ("day2", "day3", "numpy-cnn", "patches", "lenet", "rnn", "cifar")
"""In the order in which they are run; numpy-cnn is in `numpy_cnn`, the others as named."""
