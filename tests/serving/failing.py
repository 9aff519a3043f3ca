"""`cct serve` with a model that fails, as a bug would make it. Everything else is the server's own."""

import sys

from cct.cli import main
from cct.inference.classifier import Classifier

predict_arrays = Classifier.predict_arrays


def fail_for_black(self, arrays):
    if not arrays.any():  # the server warms up with random pixels
        raise MemoryError("too much")
    return predict_arrays(self, arrays)


if __name__ == "__main__":
    Classifier.predict_arrays = fail_for_black
    sys.exit(main(sys.argv[1:]))
