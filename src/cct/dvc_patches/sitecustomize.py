"""Lets DVC run experiments in temporary folders if the repository's path has letters beyond ASCII.

DVC 3.67 writes the configuration of an experiment's folder as ASCII, and fails. Python imports this file at its start
if its folder is on PYTHONPATH. `cct.dvc.child_environment` puts it there for child processes. The queue workers that
they start inherit it.
"""

import functools

import configobj

configobj.ConfigObj.__init__ = functools.partialmethod(configobj.ConfigObj.__init__, default_encoding="utf-8")
