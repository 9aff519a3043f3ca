"""What computes a model: Keras, ONNX Runtime, LiteRT or TensorFlow."""
