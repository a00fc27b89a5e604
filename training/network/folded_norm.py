"""Batch norm of an expanding 1x1 convolution without a pass over what it gives, which a processor's memory is slow in.

The outputs y = W^T x of a 1x1 convolution are linear in its inputs x: their mean is W^T mean(x), and their variance the
diagonal of W^T cov(x) W. In a block of MobileNetV2 x has a sixth of the channels of y. What batch norm (Ioffe and
Szegedy 2015, arXiv:1502.03167) then is, a factor and an offset of each channel, is known before the convolution and
goes into its filters and bias. The numbers are the same but for rounding, the gradients too.
"""

from typing import Any

import tensorflow as tf
import tf_keras


def fold_norms(network: tf_keras.Model) -> None:
    """Let batch norms fold into the convolutions before them while `network` is trained, where those expand.

    In inference, in mixed precision, and frozen, they are as they were. Variables and their names stay.
    """
    for layer in network.submodules:
        if type(layer) is tf_keras.layers.BatchNormalization:
            layer.__class__ = _Folded


class _Folded(tf_keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if not (training and self.trainable and _expands(inputs)):
            return super().call(inputs, training=training, mask=mask)
        pictures, kernel = inputs.op.inputs  # the convolution itself is not needed any more: TensorFlow leaves it out
        count = _count(pictures)
        mean_in, covariance = moments(pictures)
        filters = kernel[0, 0]
        mean = tf.linalg.matvec(filters, mean_in, transpose_a=True)
        variance = tf.reduce_sum(filters * tf.matmul(covariance, filters), axis=0)
        variance = tf.maximum(variance, 0.0)  # rounding may leave a little less of what is nothing
        of_all = variance * count / tf.maximum(count - 1, 1)  # what is kept is an estimate beyond this batch
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, of_all)):
            moving.assign_sub((moving - value) * (1 - self.momentum))
        factor = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        outputs = tf.nn.conv2d(pictures, kernel * factor, 1, "SAME")
        return tf.nn.bias_add(outputs, self.beta - mean * factor)


def _expands(outputs: tf.Tensor) -> bool:
    """Whether these are the float32 outputs of a 1x1 convolution, in a graph, and twice as many as its inputs."""
    if tf.executing_eagerly() or outputs.op.type != "Conv2D" or outputs.dtype != tf.float32:
        return False
    rows, columns, channels_in, channels_out = outputs.op.inputs[1].shape
    strides, layout = outputs.op.get_attr("strides"), outputs.op.get_attr("data_format")
    one_by_one = rows == columns == 1 and strides == [1, 1, 1, 1] and layout == b"NHWC"
    return bool(one_by_one and channels_out >= 2 * channels_in)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def moments(pictures: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
    """Mean [C] and covariance [C, C] of B x height x width x C over all but its channels."""
    channels = pictures.shape[-1]
    count = _count(pictures)
    mean = tf.reduce_mean(pictures, [0, 1, 2])
    centred = tf.reshape(pictures - mean, (-1, channels))
    covariance = tf.matmul(centred, centred, transpose_a=True) / count

    def gradient(of_mean: tf.Tensor, of_covariance: tf.Tensor) -> tf.Tensor:
        filters = (of_covariance + tf.transpose(of_covariance)) / count
        offset = of_mean / count - tf.linalg.matvec(filters, mean)
        return tf.nn.bias_add(tf.nn.conv2d(pictures, filters[None, None], 1, "SAME"), offset)

    return (mean, covariance), gradient


def _count(pictures: tf.Tensor) -> tf.Tensor:
    """B * height * width, float32."""
    return tf.cast(tf.size(pictures) // pictures.shape[-1], tf.float32)
