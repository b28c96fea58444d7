"""Reading: what a sentence says to a question. Words and features (pure Python), and the trained reader
(torch).
"""
