"""Facts and problems of a data source, images or texts, for `cct inspect` before anything is trained."""
