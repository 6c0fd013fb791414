"""The lists of one person: what they have opened, the views they saved, word that a submission is done."""
