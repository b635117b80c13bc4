"""One estimator for every linear contrast of cells, and the ratios that can be read off one."""
