"""The libraries that compute a model: Keras, ONNX Runtime, LiteRT or TensorFlow."""
