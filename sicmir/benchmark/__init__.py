"""Methods judged out of sample: controls, rivals, the published network, and how predictors are held out."""
