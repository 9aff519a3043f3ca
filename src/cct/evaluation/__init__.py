"""What a trained model is worth: metrics, tables, figures."""
