"""The numbers of words that data and models share."""

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2  # no word, a word without a number of its own, the first of the vocabulary
# Numbers of words are below. While a model is trained, the bits from here on may have the weight of the text at the
# mirrored place of the batch, in 1/256: MixUp's weight has to come with its text, and a model has one input.
MOST_WORDS = 1 << 20
