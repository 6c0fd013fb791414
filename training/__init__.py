"""From a folder of radiographs to a released bundle: ``python -m training --help``.

Networks are written on ``keras.ops`` and so run on TensorFlow, JAX or torch alike.
"""
