"""What spark-submit starts: the command line of foveate, with the arguments that follow this file.

Spark takes a file that ends in .py, and Python puts that file's folder before all others: this one
has a folder to itself, so that none of the package's modules is taken for a library's.
"""

from foveate.cli import main

main()
