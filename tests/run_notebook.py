"""A notebook run in this process, for the names that it leaves behind."""

import matplotlib.pyplot as plt
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook


def run_notebook(path, parameters):
    """Run every cell with these parameters; its names."""
    notebook = parameterize_notebook(load_notebook_node(str(path)), parameters)
    page: dict = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, str(path), "exec"), page)
            plt.close("all")
    return page
