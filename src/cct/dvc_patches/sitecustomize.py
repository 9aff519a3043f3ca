"""Lets DVC run experiments beside the work tree where the path of the repository has letters beyond ASCII.

DVC 3.67 writes the configuration of an experiment's folder as ASCII, and fails. Python imports this file at its start
where its folder is on PYTHONPATH: in the child processes for which `cct.dvc.child_environment` puts it there, and in
the workers of the queue that these start.
"""

import functools

import configobj

configobj.ConfigObj.__init__ = functools.partialmethod(configobj.ConfigObj.__init__, default_encoding="utf-8")
