"""From a folder of radiographs to a released bundle: ``python -m training --help``.

The rooms in the order in which a user walks through them; each imports only those before it:
``datasets``, ``network``, ``learning``, ``evaluation``, ``release``.

Networks are written on ``keras.ops`` and so run on TensorFlow, JAX or torch alike.
"""
