"""Write one HTML page, figures and tables of one or more pretraining runs.

Where a chart, a figure or a sentence comes from:

- trainers/runs/reader.py reads the runs, trainers/runs/charts.py lists every chart;
- dynamics.py makes the curves of the learning dynamics;
- analysis/ computes phases, tables and sentences, once for the page, the figures and the files;
- page/ renders index.html: render.py fills the template, data.py holds the numbers that page.js draws;
- figures.py draws one run for model cards and trackers, paper_figures.py the figures for print;
- ner.py adds the NER sweeps; output.py puts the files into place; command.py calls all of them.
"""
