"""The parts of an NER sweep: which runs, where their results lie, who works on what, and what is left."""
