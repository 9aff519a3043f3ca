"""What `cct inspect` finds in the images of a data source before anything is trained."""
