"""What the input pipeline does to a training picture and its boxes: TensorFlow functions without a state.

Every function takes the seed of its draws, two integers: the same seed gives the same bits. Pictures are RGB, 0 to 255;
boxes are ymin, xmin, ymax, xmax as shares of the picture's sides.
"""
