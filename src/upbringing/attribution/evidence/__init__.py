"""Rows and a tree become scores, cells and the questions asked of them; which runs are independent."""
