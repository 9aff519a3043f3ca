"""`cct serve` with gates, at which it waits for as long as a test wants. Everything else is the server's own.

The gate `model` is before each call of the model, `decoder` before each large image, `parser` before each JSON, and
`loader` before the Keras model that explains beside an exported file. A gate holds while the current folder has the
file NAME.closed and not the file NAME.open. The server writes NAME.asked when it begins to wait.
"""

import sys
import time
from pathlib import Path

from cct.cli import main
from cct.data.images.decoding import image_pixels
from cct.inference.classifier import Classifier
from cct.serving import bodies, models
from cct.serving.images import LARGE_PIXELS
from cct.tasks.image_classification.inference import ImageReader

predict_arrays, read_arrays = Classifier.predict_arrays, ImageReader.arrays
parse, load = bodies._parse, models._same_model


def wait_at(gate: str) -> None:
    if Path(f"{gate}.closed").exists():
        Path(f"{gate}.asked").touch()
        while not Path(f"{gate}.open").exists():
            time.sleep(0.005)


def predict_later(self, arrays):
    wait_at("model")
    return predict_arrays(self, arrays)


def read_later(self, inputs):
    if isinstance(inputs[0], bytes) and image_pixels(inputs[0]) > LARGE_PIXELS:
        wait_at("decoder")
    return read_arrays(self, inputs)


def parse_later(body):
    wait_at("parser")
    return parse(body)


def load_later(path, answers):
    wait_at("loader")
    return load(path, answers)


if __name__ == "__main__":
    Classifier.predict_arrays, ImageReader.arrays = predict_later, read_later
    bodies._parse, models._same_model = parse_later, load_later
    sys.exit(main(sys.argv[1:]))
