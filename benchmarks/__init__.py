"""The promises of speed and accuracy, measured: `make bench`."""
