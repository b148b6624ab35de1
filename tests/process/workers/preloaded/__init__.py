"""`worker.py` as a package that a supervisor can preload and fork: ``preload.preload()``, ``__main__.main()``."""
