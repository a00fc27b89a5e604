"""Bring a data set from elsewhere: Kaggle, a URL, a folder or an archive on disk."""
