"""Model files of somebody else: what they take and give is in them, beside them, or in a sidecar.

`model.tflite` may have beside it
    model.tflite.yaml     the sidecar, see `vigie.foreign.sidecar.Sidecar`
    labelmap.txt          or labels.txt, labels_*.txt, *.names, label_map.pbtxt: see `vigie.foreign.labels`
What the sidecar says holds over what the file says, and that over what is usual.
"""
